"""One thin module per verb: parse, configure, run the step."""
