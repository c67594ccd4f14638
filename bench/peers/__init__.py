"""Peers: the same load against another mixer and against ours, one after the other.

    python -m bench.peers --publish

The other one is Janus's AudioBridge, as the distribution packages it: plain RTP participants over its local API.

    api         what is said to Janus, and a connection to say it on
    janus       the process, its configuration, a room full of participants
    measuring   one mixer, one size
    results     what was found, and the table
"""
