"""`ottla consume`: where records come from (`sources`), which are wanted (`filters`), and their way from
there to standard output (`reading`).
"""
