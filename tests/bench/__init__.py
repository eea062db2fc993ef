"""The benchmark: CPU per masked, admitted and settled call, as a ratio to a plain Dial()."""
