"""SDP, and the offer/answer model. Pure functions on values: nothing here opens a socket or resolves a name.

model        an SDP as lines in their order, and its parser
refusal      why an offer or an answer is not acceptable

crypto       a=crypto lines, read strictly
dtls         fingerprints and setup roles
direction    who sends and who listens
terms        what we are ready to agree to
formats      payload types, and what stands beside a codec
parameters   a=fmtp, as names and values
opus, amr    what the parameters of these mean
choice       which payload type is taken
address      where the peer is
extensions   audio levels, and announced SSRCs

agreed       what was agreed to, and our own end
protection   the choice among a=crypto and DTLS
reading      an m-line of the peer as an agreement
writing      the lines that we write

answer       the answerer: agree, write_answer
offer        the offerer: write_offer, agree_answer
"""
