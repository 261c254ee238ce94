"""The recovery models, the networks behind them, and their registry."""
