/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * driver_xen.h - a domain of Xen as driver.h wants a guest to be.
 *
 * The primary.  remusd keeps a copy of the domain's memory, the image
 * (xen_image.h), and that is what ram() shows.  A process of its own, the helper
 * (xen_helper.h), has everything that blocks: it finds or makes the domain, runs
 * xc_domain_save(XC_STREAM_REMUS) into a pipe, and suspends and resumes the
 * domain from the callbacks of that.  remusd parses what comes out of the pipe:
 *
 *   helper, in xc_domain_save()          remusd
 *   live copy, again and again    -----> image; what differs from it is dirty:
 *                                        collect().  settled() once all was
 *                                        in the pipe once.
 *                                 <----- suspend()
 *   suspend the domain
 *   dirty pages, other records,
 *   CHECKPOINT                    -----> image, device state; suspended() and
 *   wait                                 device_state(): nothing of this epoch
 *                                        is under way any more
 *                                 <----- resume()
 *   resume the domain             -----> resumed()
 *   wait for the next suspend()
 *
 * So the life of an epoch is the same as with QEMU, and a link that is slow,
 * gone or back again is none of the stream's business: that goes on against the
 * local image.  After long enough without a checkpoint a new stream is begun
 * before the next one, since a stream of Remus has no live copy but its first,
 * and the domain would stand still for all that it wrote meanwhile.
 *
 * The price is dom0's memory: as much as the domain has, at both hosts.
 *
 * The wire.  A page is named by its place in the image, not by its pfn: pfns of
 * a PVH guest lie far apart.  What else the stream has is the device state, and
 * names the places too (xen_state.h): the domain's configuration as libxl
 * writes it, types of all pages, the records before the first page, and those
 * of this epoch, byte by byte; those of an HVM guest's device model too, which
 * libxl's suspend stops and has it save its state (xen_libxl_save.c).
 *
 * The backup.  What is committed is in the receiver's image, and nowhere else:
 * S2 and S3 hang on that alone.  Beside it a domain is kept ready, NAME--standby,
 * by a helper in libxl_domain_create_restore(): once in a second what was
 * committed since goes into that call's stream, as one checkpoint (committed()).
 * The stream that libxl sees is an ordinary one of Remus, not the primary's byte
 * by byte: headers and records as they were, but of the epochs that are fed only;
 * pages of an epoch once each, in ascending order of pfn, with the type they have
 * then, in records of up to 1024.  activate() feeds the last epoch and closes the
 * stream; with that the call returns.  Then the gate is put on the domain's vif,
 * then the domain gets its name, and then it runs.  Until then it has no devices,
 * and cannot run: nobody unpauses it.  A standby domain that fails, or cannot be
 * made (memory), is no loss but of time: activate() then makes it of the image
 * as a whole.  What is discarded is destroyed.
 *
 * Who lives, and who dies with whom (S7): a helper that sees the end of its
 * connection to remusd destroys its domain.  When the helper is gone, another
 * one is started that does.  Only then gone() is said; it is tried again until
 * it worked (S6).  A domain is ours when it has our mark in xenstore: one that
 * was left behind by both, killed at once, is destroyed by the next standby().
 * Its frames have been held by the kernel's plug all the time.
 *
 * Refused, each with its reason: PV under a hypervisor without shadow paging;
 * HVM with an emulated network card, whose output goes past the gate, with its
 * device model elsewhere than in dom0, or nested; a writable disk, since what a
 * domain writes there is not held back; another number of vifs than one;
 * passed-through devices; more memory than the definition says.
 */
#ifndef REMUS_DRIVER_XEN_H
#define REMUS_DRIVER_XEN_H

#include "driver.h"
#include "xen_ops.h"

/* driver_xen_ops.create() with another Xen, for tests. */
int driver_xen_create_on(struct driver **out, const struct xen_ops *xen,
			 const struct vm_config *cfg, qb_loop_t *loop,
			 const struct driver_events *ev, void *ctx, char *err,
			 size_t err_bytes);

#endif
