"""MIKEY: how a group key reaches those who may have it. RFC 3830 with pre-shared keys, and RFC 6043 tickets.

Nothing here opens a socket, reads a clock or draws a random number of its own: octets and time come
in as arguments, octets and values go out.

    errors            why a message was not believed
    octets            lengths in front, and a cursor that never runs past the end
    numbers           the values that the RFCs and IANA assign
    header            the common header and its maps of crypto sessions
    payloads          the plain payloads
    policy            SRTP policies, and the suites that they stand for
    keydata           KEMAC and the keys inside
    ticket_payload    ticket policy, ticket, ticket header
    message           a header and a chain of payloads, to octets and back
    report            Error messages

    prf               every derivation of a key from a key
    cipher            AES in counter mode and the MACs

    push              what a focus tells a member: a key, its MKI, and the streams it is for
    psk               the two ends of that exchange: Sender and Receiver

    terms             what a ticket is good for, and the profile of RFC 6043 that is spoken
    ntp, replay       times, and that each authentic message is acted on once
    protection        MACs and encryption of the ticket exchanges
    base_ticket       the opaque ticket that only a KMS reads
    initiator_data    how the owner of a ticket vouches for sending it
    ticket            the KMS: TicketAuthority
    ticket_request    the conference system: TicketRequester
    ticket_resolve    the member: TicketHolder
"""
