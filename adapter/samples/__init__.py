"""Sample webhooks, one folder each, as in `fixtures/`: what the demo posts. Data only.

They travel in the package, so that the demo works from an installed wheel. What the adapter must make of every kind of webhook is in
`fixtures/`, which does not.
"""
