"""The rules, by the kind of component they are for."""
