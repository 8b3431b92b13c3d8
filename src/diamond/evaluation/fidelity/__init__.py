"""How far a dream can be trusted, measured on real games that it was never trained on.

`segments` is the short comparison at the end of training. The long one, `diamond fidelity`, is planned by `plan` on
whole real `games`: the dream `one_step` ahead of them and `on_its_own`, what the `actions` change, put together by
`measure`. docs/fidelity.md defines every number.
"""
