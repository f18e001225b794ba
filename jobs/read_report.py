"""The report verb: run what the page needs, put the page in a file, and serve it when asked."""

import http.server
from pathlib import Path
from typing import Annotated

import typer

from cluster.artifact import ArtifactRef
from cluster.errors import UserError
from cluster.store import find_store
from jobs.console import stderr_console
from jobs.entry import (
    DEFAULT_STORE,
    Address,
    DryRun,
    Json,
    Overrides,
    RecipeName,
    RecipeOption,
    StoreUri,
    check_writable,
    main,
    make_request,
    run_recipe,
)

OutFile = Annotated[Path, typer.Option("--out", help="Where the page is written.")]
Port = Annotated[
    int | None,
    typer.Option(help="Serve the page on this port of the loopback until Ctrl-C.", max=65535),
]


def report(
    recipe: RecipeName = None,
    recipe_option: RecipeOption = None,
    store: StoreUri = DEFAULT_STORE,
    address: Address = None,
    overrides: Overrides = None,
    dry_run: DryRun = False,
    json_output: Json = None,
    out: OutFile = Path("report.html"),
    port: Port = None,
) -> None:
    """Write the HTML page about a recipe, running what it lacks.

    Example: tinysql report quickstart --out report.html
    """
    request = make_request(
        recipe or recipe_option, store, address, overrides, dry_run, json_output
    )
    # Both before minutes of work whose page could not be written or served.
    check_writable(out)
    server = None if port is None or dry_run else _listen(port)
    for result in run_recipe(request, until="report"):
        if result.step.kind.name == "report":
            ref = ArtifactRef(find_store(store), result.step.path, result.manifest.sha256)
            out.write_bytes(ref.read("report.html"))
            stderr_console().print(f"report written to {out}", highlight=False)
    if server is not None:
        _serve(server, out.read_bytes())


class _OnePage(http.server.BaseHTTPRequestHandler):
    """Answers with the server's page, whatever is asked: nothing else is served."""

    def do_GET(self) -> None:
        page = self.server.page  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)


def _listen(port: int) -> http.server.ThreadingHTTPServer:
    try:
        return http.server.ThreadingHTTPServer(("127.0.0.1", port), _OnePage)
    except OSError as error:
        raise UserError(
            f"--port {port}: cannot be listened on: {error.strerror}; choose another"
        ) from error


def _serve(server: http.server.ThreadingHTTPServer, page: bytes) -> None:
    server.page = page  # type: ignore[attr-defined]
    with server:
        stderr_console().print(f"http://127.0.0.1:{server.server_port}/  (Ctrl-C stops)")
        server.serve_forever()


if __name__ == "__main__":
    main(report)
