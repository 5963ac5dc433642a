/* network_disk.h - whether a folder is on a disk that others share over the network. */
#ifndef BROKER_NETWORK_DISK_H
#define BROKER_NETWORK_DISK_H

/* The kind's name, static; NULL when the folder is on this machine, or that cannot be told. */
const char *network_disk (const char *folder);

#endif
