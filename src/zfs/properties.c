/* SPDX-License-Identifier: MIT */
/*
 * What `zfs get` wrote, made into a list. Pure.
 *
 * What lies between two frames (get.c) is one property of the dataset that the second one names; its value reaches from
 * the second tab to the last, since names and sources have neither tabs nor line ends.
 */
#include <string.h>

#include "zfs/internal.h"

#define INHERITED_FROM "inherited from "

static void set_source(struct zfs_property *p, const char *source)
{
	size_t prefix = strlen(INHERITED_FROM);

	p->inherited = strncmp(source, INHERITED_FROM, prefix) == 0;
	p->source = p->inherited ? source + prefix : source;
}

/* Cuts "dataset TAB name TAB value TAB source" into its parts. */
static bool cut_property(char *text, struct zfs_property *ret)
{
	char *name = strchr(text, '\t');
	char *value = name ? strchr(name + 1, '\t') : NULL;
	char *source = value ? strrchr(value + 1, '\t') : NULL;

	if (!source)
		return false;
	*name = *value = *source = '\0';
	*ret = (struct zfs_property){ .dataset = text, .name = name + 1, .value = value + 1 };
	set_source(ret, source + 1);
	return true;
}

/* Cuts the property at *text, and moves *text behind its frame, of whose line frame is the first tab. */
static bool next_property(char **text, char *frame, size_t frame_size, struct zfs_property *ret)
{
	char *start = *text;
	size_t dataset = strcspn(start, "\t");
	char *line = frame - dataset; /* of the frame */

	if ((size_t)(frame - start) <= dataset || memcmp(line, start, dataset) != 0 || line[-1] != '\n')
		return false;
	line[-1] = '\0';
	*text = frame + frame_size;
	return cut_property(start, ret);
}

static size_t count(const char *text, const char *part)
{
	size_t n = 0;

	for (const char *p = text; (p = strstr(p, part)); p += strlen(part))
		n++;
	return n;
}

static enum err cut_properties(char *at, const char *frame_end, struct zfs_properties *p, struct err_ctx *e)
{
	char *frame;

	while ((frame = strstr(at, frame_end)))
		if (!next_property(&at, frame, strlen(frame_end), &p->all[p->n++]))
			return err_set(e, ERR_CHILD, "zfs get wrote what it never did, at property %zu", p->n);
	if (*at)
		return err_set(e, ERR_CHILD, "zfs get wrote what it never did, behind property %zu", p->n);
	return ERR_OK;
}

enum err zfs_properties_parse(char *text, const char *frame, struct zfs_properties *ret, struct err_ctx *e)
{
	char frame_end[FRAME_SIZE + sizeof("\t\t-\t-\n")];
	struct zfs_properties p = { .text = text };

	snprintf(frame_end, sizeof(frame_end), "\t%s\t-\t-\n", frame);
	p.all = calloc(count(text, frame_end) + 1, sizeof(*p.all));
	if (!p.all)
		return err_set(e, ERR_NO_MEMORY, "room for the properties");
	enum err err = cut_properties(text, frame_end, &p, e);
	if (err) {
		free(p.all);
		return err;
	}
	*ret = p;
	return ERR_OK;
}

void zfs_properties_clear(struct zfs_properties *p)
{
	free(p->all);
	free(p->text);
	*p = (struct zfs_properties){ 0 };
}
