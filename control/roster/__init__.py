"""Who is in a conference, and how that is told: the conference event package, RFC 4575. No SIP in it."""
