"""Who is in a conference, and how that is told: the conference event package, RFC 4575. No SIP in it.

people          the words for conference, user, endpoint and medium
tidy            what a peer calls itself, made fit to be told
state           the roster, and what has changed since a version
views           what a viewer may see of it
document        the XML of that, written; `drafts` keeps what many subscribers share
subscriptions   who is told, and when: the notifier of RFC 6665, on a virtual clock; `alarms` are its timers

parsing, elements, reader   the other side: a picture of the conference, out of the documents that came
"""
