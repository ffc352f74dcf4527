"""Learning curves of PEFT methods: a table, how it is trained and packed, and how it is read."""
