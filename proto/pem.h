/* pem.h - certificates in PEM (RFC 7468), as far as a fingerprint needs them: nothing in them is looked at. */
#ifndef GLEANER_PEM_H
#define GLEANER_PEM_H

#include <stdbool.h>

#include "buf.h"

enum { FINGERPRINT = 32 };

/* Cuts the next certificate off the front of `text`: its lines, and the SHA-256 of what is in them, which is what
 * programs show as its fingerprint. False: there is no more. */
bool pem_next (slice_t *text, slice_t *certificate, unsigned char fingerprint[FINGERPRINT]);

#endif
