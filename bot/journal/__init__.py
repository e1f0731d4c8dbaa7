"""The journal: every outside effect once, in a PostgreSQL database.

`steps` has the values, `store` the tables, `runs` the rules, `place` and `opening` the way to it, `embedded` a server of its own
where a team has none.
"""
