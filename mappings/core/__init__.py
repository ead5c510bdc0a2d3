"""What platforms share: the order, Drip's contract, how payloads are read and signatures verified. Nothing here depends on a platform."""
