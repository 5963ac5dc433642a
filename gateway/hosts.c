#include "gateway/hosts.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

void hosts_init (hosts_t *self, const char *names)
{
    *self = (hosts_t){ .names = names };
    if (gethostname (self->machine, sizeof self->machine - 1) != 0)
        self->machine[0] = '\0';
}

/* The name alone, without port, brackets and the dot that may end it; false when it is none. */
static bool read_name (slice_t host, char name[HOST_NAME_SIZE], bool *bracket)
{
    if (!slice_copy (host, name, HOST_NAME_SIZE) || strlen (name) != host.len)
        return false;
    *bracket = name[0] == '[';
    char *end = *bracket ? strchr (name, ']') : name + strcspn (name, ":");
    if (!end)
        return false;
    const char *port = *bracket ? end + 1 : end;
    if (*port && (*port != ':' || strspn (port + 1, "0123456789") != strlen (port + 1)))
        return false;
    *end = '\0';
    if (*bracket)
        memmove (name, name + 1, (size_t)(end - name));
    else if (end > name + 1 && end[-1] == '.')
        end[-1] = '\0';
    return name[0] != '\0';
}

static bool is_address (const char *name, bool bracket)
{
    struct in6_addr address; /* room for either */
    return inet_pton (bracket ? AF_INET6 : AF_INET, name, &address) == 1;
}

static bool listed (const char *names, const char *name)
{
    size_t len = strlen (name);
    for (const char *at = names; at && *at;) {
        size_t one = strcspn (at, ",");
        if ((one == len && strncasecmp (at, name, len) == 0) || (one == 1 && *at == '*'))
            return true;
        at += one + (at[one] == ',');
    }
    return false;
}

bool hosts_know (const hosts_t *self, slice_t host)
{
    static const char local[] = ".localhost";
    char name[HOST_NAME_SIZE];
    bool bracket = false;
    if (!read_name (host, name, &bracket))
        return false;
    if (bracket || is_address (name, false))
        return is_address (name, bracket);
    size_t len = strlen (name);
    if (strspn (name, letters) == len)
        return true;
    if (len >= sizeof local && strcasecmp (name + len - (sizeof local - 1), local) == 0)
        return true;
    return strcasecmp (name, self->machine) == 0 || listed (self->names, name);
}
