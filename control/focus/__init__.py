"""The conference focus: AS and MRFC in one. Any SIP phone dials in; the mixer does as it is told.

    phone --SIP--> reception --> room --> driver (control.rekey) --control socket--> mixer
                       |           |                |--------------------------------> KMS
                       |           +--> roster --NOTIFY--> who may see it
                       +--> identity: who is this, and how was it proved

    reception    a request comes in: who serves it
    identity     who sends it: digest, certificate, or the word of a trusted peer
    entry        who may enter which room
    switchboard  calls come up and go down (newcomer, ringing, register, clock)
    call         one dialog: its SDP, its leg, its keys
    room         one conference: who is in it, and the policy that keys it (following, complaints, roll)
    rooms        all of them: found, made on dialling, closed when empty
    watchers     who is told what goes on in a room
    trunk        one connection to the mixer, shared by all rooms

A focus never sees media and never makes a group key. It knows a mixer by nothing but the control socket.
"""
