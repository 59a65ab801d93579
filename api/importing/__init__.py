"""Import: the rows of a CSV file become commands, the same commands as everybody's, as a mapping says."""
