"""bench.callers: scripted phones against any SIP conference.

python -m bench.callers sip:room@127.0.0.1:5060 --callers 10 --seconds 8

caller        one phone: its requests, and what comes in            options, habits, answering
lines         the SIP agent that many of them share
call          one call without SIP                                  negotiation (SDP), keyring, handshake (DTLS)
media         its socket                                            mouth, recording
watcher       a subscription to conference events
hearing       tones in what was heard; voices: speech; judging: who hears whom
report        figures of a call; table: a line for each
script        what callers do together; cast: who they are; play: one run of the command
"""
