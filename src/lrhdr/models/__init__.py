"""The LRHDR network, one idea a file: EIC, ACCR, the physical prior, APSWF, and the whole."""
