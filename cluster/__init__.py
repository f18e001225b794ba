"""Running steps anywhere: store, manifest, lease, step runner, Ray; knows no SQL and no model."""
