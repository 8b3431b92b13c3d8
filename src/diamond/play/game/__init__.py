"""One game, its past and its settings, without clocks, browsers or threads."""
