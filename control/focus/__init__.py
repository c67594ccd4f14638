"""The conference focus: AS and MRFC in one. Any SIP phone dials in; the mixer does as it is told.

    phone --SIP--> reception --> switchboard --> room --> driver (control.rekey) --control socket--> mixer
                     |   |            |            |          |-----------------------------------> KMS
                     |   |            |            +--> roll --> watchers --NOTIFY--> who may see it
                     |   |            +--> call: SDP, and the key that its phone holds
                     |   +--> dialled, entry: which room, and may this one come in
                     +--> identity: who is this, and how was it proved

    reception    a request comes in: who serves it
    switchboard  calls come up and go down, in order; `newcomer`, `ringing`, `clock` and `register` help it
    room         one conference: who is in it, and how keys reach them
    refusals     who did not get in, and why: for the log and the metrics
    complaints   what becomes of a call that the mixer or the policy complains about
    following    which phones can take another key
    rooms        all of them: found, made on dialling, closed when empty
    trunk        one connection to the mixer, shared by all rooms
    desk         what an operator can ask, over a socket of its own

A focus never sees media and never makes a group key. It knows a mixer by nothing but the control socket.
"""
