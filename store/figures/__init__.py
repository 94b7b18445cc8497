"""What the operators' desk shows: figures of everybody, of those who stand still, and of one batch.

Each is asked in one or two statements that cost about as much as counting the onboardings once, since they are asked
every few minutes and at the end of every run. What looks back, looks back so far and no further.
"""
