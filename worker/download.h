/* download.h - the bound on a project's archive. */
#ifndef GLEANER_WORKER_DOWNLOAD_H
#define GLEANER_WORKER_DOWNLOAD_H

#define DOWNLOAD_BYTES_MAX (4LL << 30) /* a longer archive is refused */

#endif
