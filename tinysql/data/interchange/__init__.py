"""Other people's formats: exports of our rows, checked imports of theirs, statistics of either."""
