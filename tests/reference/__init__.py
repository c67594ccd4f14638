"""An SRTP that shares no code with libsrtp, and the published vectors that hold it to the RFCs."""
