"""The front ends of ../README.md in numpy: dMel levels and video features, equal to the runtime's to the bit."""

import numpy as np

HOP, WINDOW, N_MELS, N_LEVELS, SAMPLE_RATE_HZ = 800, 1600, 80, 16, 16000


def _hz_of_mel(mel):
    linear = mel * (200.0 / 3)
    return np.where(mel < 15.0, linear, 1000.0 * np.exp(np.log(6.4) / 27.0 * (mel - 15.0)))


def _mel_of_hz(hz):
    return np.where(hz < 1000.0, hz * 3 / 200.0, 15.0 + np.log(np.maximum(hz, 1e-9) / 1000.0) * 27.0 / np.log(6.4))


def mel_filters() -> np.ndarray:
    """(80, 801) f64 triangular Slaney filters with area normalisation, 0-8000 Hz."""
    edges = _hz_of_mel(np.linspace(_mel_of_hz(np.float64(0.0)), _mel_of_hz(np.float64(8000.0)), N_MELS + 2))
    bins = np.arange(WINDOW // 2 + 1) * (SAMPLE_RATE_HZ / WINDOW)
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rise, fall)) * (2.0 / (edges[2:] - edges[:-2]))[:, None]


_FILTERS = mel_filters().T.copy()
_HANN = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
_STEP = 9.0 / (N_LEVELS - 1)


def dmel_levels(pcm: np.ndarray) -> np.ndarray:
    """(samples) mono at 16 kHz -> (samples / 800, 80) u8 levels."""
    x = np.concatenate([np.zeros(WINDOW - HOP), np.asarray(pcm, np.float64)])
    frames = np.lib.stride_tricks.sliding_window_view(x, WINDOW)[::HOP]
    spectrum = np.fft.rfft(frames * _HANN, axis=1)
    magnitude = np.sqrt(np.maximum(spectrum.real**2 + spectrum.imag**2, 1e-10))
    value = np.clip(np.log10(np.maximum(magnitude @ _FILTERS, 1e-10)), -7.0, 2.0)
    return np.clip(np.ceil((value + 7.0) / _STEP - 0.5), 0, N_LEVELS - 1).astype(np.uint8)


def luma_of_rgb(rgb: np.ndarray, size: int) -> np.ndarray:
    """One (H, W, 3) u8 frame -> (size, size) u8 luma: centre crop to between 3:4 and 4:3, then integer area means."""
    r, g, b = (rgb[..., i].astype(np.int64) for i in range(3))
    y = (77 * r + 150 * g + 29 * b) >> 8
    h, w = y.shape
    cw, ch = (min(w, h * 4 // 3), h) if w >= h else (w, min(h, w * 4 // 3))
    x0, y0 = (w - cw) // 2, (h - ch) // 2
    y = y[y0 : y0 + ch, x0 : x0 + cw]
    out = np.empty((size, size), np.uint8)
    rows = [(i * ch // size, max((i + 1) * ch // size, i * ch // size + 1)) for i in range(size)]
    cols = [(j * cw // size, max((j + 1) * cw // size, j * cw // size + 1)) for j in range(size)]
    integral = np.zeros((ch + 1, cw + 1), np.int64)
    integral[1:, 1:] = y.cumsum(0).cumsum(1)
    for i, (a, b_) in enumerate(rows):
        for j, (c, d) in enumerate(cols):
            total = integral[b_, d] - integral[a, d] - integral[b_, c] + integral[a, c]
            out[i, j] = total // ((b_ - a) * (d - c))
    return out


def video_features(luma: np.ndarray) -> np.ndarray:
    """(n, h, w) u8 luma of consecutive frames from the session's first -> (n, h, w, 3) int8."""
    n = len(luma)
    y = luma.astype(np.int32)
    out = np.empty(y.shape + (3,), np.int8)
    mean = y.reshape(n, -1).sum(1) // (y.shape[1] * y.shape[2])
    out[..., 0] = np.clip((y - mean[:, None, None]) >> 1, -127, 127)
    difference = np.zeros_like(y)
    difference[1:] = 2 * (y[1:] - y[:-1])
    out[..., 1] = np.clip(difference, -127, 127)
    background = y[0] << 8
    for i in range(n):
        out[i, ..., 2] = np.clip(y[i] - (background >> 8), -127, 127)
        background = background + (((y[i] << 8) - background) >> 5)
    return out


def patches(features: np.ndarray, tile: int, side: int) -> np.ndarray:
    """(2 p, h, w, 3) int8 -> (p, tiles, 2, tile/side, tile/side, side*side*3): frame pairs cut into tiles and these into the first fold's neighbourhoods."""
    n, h, w, c = features.shape
    s = tile // side
    x = features.reshape(n // 2, 2, h // tile, s, side, w // tile, s, side, c)
    return np.ascontiguousarray(x.transpose(0, 2, 5, 1, 3, 6, 4, 7, 8)).reshape(n // 2, -1, 2, s, s, side * side * c)
