"""The networks of an agent, and the one way to turn its logits into an action."""
