"""The parts of `deploy/local-cluster`. Standard library only.

output      what a person or a program is told
state       what lies in DIR, and the file that remembers it
processes   starting, finding and ending processes
ports       who listens where, and what is in the way
nodes       Postrider: settings, init, join, readiness
accounts    the domain and its accounts
store       SeaweedFS
balancer    HAProxy
commands    up, status, kill, stop, start, down
"""
