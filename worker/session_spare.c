/* session_spare.c - when a session unpacks a project that may come again: spare.h. */
#include "worker/session_internal.h"

void session_spare_init (session_t *self)
{
    const spare_config_t config = {
        .loop = self->config.loop,
        .archives = self->archives,
        .extractors = &self->extractors,
        .sweeper = self->config.sweeper,
        .work_dir = self->config.work_dir,
        .extractor = self->config.extractor,
        .archive = &self->config.options->archive,
        .allowed = self->config.sandbox->ops != &sandbox_none_ops && !self->config.options->once,
    };
    self->spare = spare_new (&config);
}

void session_idle (session_t *self)
{
    bool idle = !self->stopping && sleep_watch_is_awake (self->sleep);
    for (int i = 0; i < self->slot_count && idle; i++)
        idle = !self->slots[i].job;
    if (idle)
        spare_idle (self->spare);
}

void session_busy (session_t *self)
{
    spare_stop (self->spare);
    archives_yield (self->archives, spare_yield (self->spare));
}
