"""The control plane: everything that tells a mixer what to do, and shows people how it does.

The way of a command, one room a step:

    server      a line arrives on a Unix or TLS socket            (listen: who may connect)
    protocol    the line becomes a call, or a precise JSON-RPC error; sans-IO
    director    the call becomes a command of `mixer.port`, one between two ticks
    protocol    the reply becomes a line, and is remembered by its request id

`api` says what a service can be asked, `desk` stands between a connection and what runs its calls: with
these the key management server (`kms`) has the same doors, lines and clients.

Only `mixer.port` and `mixer.secret` are known here. `daemon` and `settings` are the composition
root: they alone see both planes.
"""
