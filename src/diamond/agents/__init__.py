"""The networks of an agent, the policies that choose its actions, and the one loop in which policies play."""
