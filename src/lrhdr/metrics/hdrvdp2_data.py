"""The published numbers of HDR-VDP-2, release 2.2.1.

Sources: Mantiuk, Kim, Rempel, Heidrich, "HDR-VDP-2: A calibrated visual metric for visibility and quality predictions
in all luminance conditions", ACM TOG 30(4), 2011 (the model; parameters are named as there), with the refitted values
of the later releases; Narwaria, Mantiuk, Da Silva, Le Callet, "HDR-VDP-2.2: a calibrated method for objective quality
prediction of high-dynamic range and standard images", JEI 24(1), 2015 (the quality weights).
"""

from __future__ import annotations

# Optical transfer: sum of a_k exp(-b_k ρ), ρ in cycles per degree, with sum a = 1.
_GLARE_SHARE = 1.0 - 0.99727370023777070
_GLARE_NEAR = 0.061466549455263
MTF_A = (
    (1.0 - _GLARE_SHARE) * 0.426,
    (1.0 - _GLARE_SHARE) * 0.574,
    _GLARE_SHARE * _GLARE_NEAR,
    _GLARE_SHARE * (1.0 - _GLARE_NEAR),
)
MTF_B = (0.028, 0.37, 37.0, 360.0)

# Responses of L cones, M cones and rods to one unit of each channel of the image: the integral from 360 to 780 nm of
# the channel's emission spectrum times the sensitivity. Sensitivities: Smith and Pokorny 1975 cone fundamentals, scaled
# so that L + M is luminous efficiency; CIE 1951 scotopic luminous efficiency. Emissions: daylight D65 for luminance
# images; an LCD with CCFL backlight, as measured by the metric's authors, for RGB images. The integrals were worked out
# by us (monotone cubic interpolation of the spectra, trapezoid rule). The authors' scale of the spectra is kept, in
# which L + M is not exactly luminance. Against CIE tables from another source, the D65 row's ratio of rods to cones
# agrees to 2e-5, that of L to M to 0.2 %.
LMR_OF_LUMINANCE = ((0.6018471522447, 0.31670829557917, 0.9046706545995),)
LMR_OF_RGB = (
    (0.19899612033793, 0.04100586040759, 0.01437736862112),
    (0.40476260703813, 0.25492330644135, 0.48092084108413),
    (0.05439061925532, 0.0500122489593, 0.45427589566936),
)

# Joint cone and rod sensitivity against luminance in cd/m2, p4..p8 of the paper: s_A = a ((b / Y)^c + 1)^-d.
JOINT_SENSITIVITY = (30.162, 4.0627, 1.6596, 0.2712)
# Rod sensitivity: gain exp(-|log10(Y / peak)|^exponent / width), apart below and above the peak.
ROD_PEAK = 1.1732
ROD_BELOW = (1.2167, 1.1478)  # exponent, width
ROD_ABOVE = (2.9899, 0.5547)
ROD_GAIN: float = 10.0**1.1414

# Neural contrast sensitivity: p1..p4 at six adapting luminances, interpolated in log luminance.
CSF_LUMINANCE = (0.002, 0.02, 0.2, 2.0, 20.0, 150.0)
CSF_PARAMETERS = (
    (0.991265, 3.74038, 0.50722, 4.46044),
    (0.800889, 3.54104, 0.682505, 4.94958),
    (0.476505, 4.37453, 0.750315, 5.28678),
    (0.405782, 4.40602, 0.935314, 5.61425),
    (0.334278, 3.79542, 1.07327, 6.4635),
    (0.394533, 2.7755, 1.16577, 7.45665),
)
CSF_KNEE = 7.0  # cycles per degree

# Peak sensitivity: threshold contrast of Daly's CSF at 30 cd/m2 over the model's own.
SENSITIVITY: float = 0.006894596 / 10.0**-2.4

# Contrast masking; the fit is in decimal logarithms.
EXCITATION: float = 10.0**0.544068  # p
INHIBITION: float = 10.0**0.49576  # q
MASK_SELF: float = 10.0**0.189065
MASK_ORIENTATION: float = 10.0**0.449199
MASK_BAND: float = 10.0**1.52512
PSYCHOMETRIC_SLOPE = 3.5  # β

# Quality, as refitted in 2014: weight of a band against its frequency in cycles per degree.
QUALITY_FREQUENCY = (0.1172, 0.2344, 0.4688, 0.9375, 1.875, 3.75, 7.5, 15.0, 30.0, 60.0)
QUALITY_WEIGHT = (0.0, 0.0, 0.0003, 0.0003, 0.0398, 0.2690, 0.2142, 0.2832, 0.2832, 0.0)
