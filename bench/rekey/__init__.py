"""bench.rekey: what rekeying costs, and whether seconds are reasonable in a large conference.

python -m bench.rekey --jobs 2           everything but live media: tables and figures of docs/rekeying.md
python -m bench.rekey --quick            the same in seconds, into out/ only
python -m bench.rekey.costs              what a packet, a message and a key cost on this machine
python -m bench.rekey.live               a daemon, a focus, a thousand members, and no lost packet

costs        measured: encrypting, sending, delivering a key, a ratchet step, a key of the KMS
signalling   a key delivered by SIP: a real focus, and phones on hold
phones       those phones, in a thread of their own
compact      a key delivery that is as thin as it can honestly be: a model of an in-band channel
laws         closed forms: throttle, debounce, break-even, capacity, key trees
churn        who comes and goes when: a made-up conference with all its parameters
strategies   what is compared
simulate     the real policy on a virtual clock, with a focus that can fall behind and a network that loses
models       strategies that the policy cannot be configured to, or that are too large to play: by events
scaling      what the policy itself costs, by size of the conference
tables       Markdown
figures      PNG
live         a focus and a mixer with media: is anything lost, and how long does it take
"""
