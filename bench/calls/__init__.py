"""bench.calls: how many calls a second a focus takes, while conferences go on.

python -m bench.calls                    50 INVITEs a second, 500 calls up, 30 s, unique and group keys
python -m bench.calls --find             the highest rate that holds

timetable    who calls when; read by all processes
messages     SIP and SDP of a phone under load, as octets
phones       all phones: the order of messages, and retransmissions; sans-IO
dialler      the process of the phones
speech       everything they will say, encrypted before the run
media        the process that says it, and takes in what comes
heard        was a packet there for each 20 ms of each call
sample       three whole callers, whose ears judge content
stack        mixer, KMS and focus
measuring    one run
results      numbers and tables
"""
