#include "broker/network_disk.h"

#include <stddef.h>
#include <sys/vfs.h>

/* The numbers of statfs(2). Their locks and their caches are not those of a local disk: a second broker may get the
 * lock, and what was synced may be gone. */
static const struct {
    unsigned long number;
    const char *name;
} kinds[] = {
    { 0x6969, "NFS" },     { 0x517b, "SMB" },     { 0xff534d42, "SMB" },
    { 0xfe534d42, "SMB" }, { 0x5346414f, "AFS" }, { 0x73757245, "Coda" },
};

const char *network_disk (const char *folder)
{
    struct statfs disk;
    if (statfs (folder, &disk) != 0)
        return NULL;
    for (size_t at = 0; at < sizeof kinds / sizeof *kinds; at++)
        if ((unsigned long)disk.f_type == kinds[at].number)
            return kinds[at].name;
    return NULL;
}
