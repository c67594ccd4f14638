"""The key management server: makes group keys for authorised conference systems, and for members.

A process of its own (`mrfp kms`). It never sees media and never talks to a mixer.

    callers     who asks: a conference system, an auditor, or somebody who may be a member
    limits      how often they may ask
    registry    conferences, their owners and members, their epochs: who may have which key
    floors      the highest epoch of each conference, on disk: none is made twice, come what may
    audit       what was asked, by whom, and what came of it: one chained line each
    service     puts these in order for every call
    desk        between a connection and the service
    daemon      sockets, files, signals

The lines on the wire are those of `control.protocol`; the methods are `control.kms.messages.KMS`.
"""
