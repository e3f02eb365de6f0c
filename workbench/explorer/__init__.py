"""Explore investigations, anomalies and operations: a model without widgets, a view of widgets, a controller.

question    what is asked of the target, with its tenant, and its text for mongosh
guard       a database that can only be read
loop        the event loop on which all of it runs
model       the questions of the explorer, answered as `Part`s: a table, its figure, its queries
view        the widgets
controller  what happens when someone types or clicks
notebook    the same parts without widgets, for headless runs
"""
