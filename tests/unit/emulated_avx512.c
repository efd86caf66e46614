/* SPDX-License-Identifier: GPL-2.0-or-later */
/* codec_xrle_avx512.c for any processor. */
#include "avx512_in_c.h"

#define XRLE_AVX512
#define xrle_impl_avx512 xrle_impl_emulated
#include "codec_xrle_avx512.c"
