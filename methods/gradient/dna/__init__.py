"""DNA: a trained network adapted to a budget by windows over its widths that move."""
