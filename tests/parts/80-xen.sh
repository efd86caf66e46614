# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# a PV guest on a real Xen, in emulation; the streams of xl save and xl remus
# when: asked

t_cases "$SRC/tests/xen/run"
