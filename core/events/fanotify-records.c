/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "events/fanotify-records.h"

#include <errno.h>
#include <linux/fanotify.h>
#include <string.h>

/* struct file_handle, which <fcntl.h> has for GNU sources only. */
struct handle_head {
	uint32_t bytes;
	int32_t type;
};

/* Reads a handle in front of `end`; returns what follows it, or NULL. */
static const uint8_t *take_handle(const uint8_t *at, const uint8_t *end, struct file_id *out)
{
	struct handle_head head;

	if ((size_t)(end - at) < sizeof head)
		return NULL;
	memcpy(&head, at, sizeof head);
	at += sizeof head;
	if (head.bytes > (size_t)(end - at))
		return NULL;
	*out = (struct file_id){ at, head.bytes, head.type };
	return at + head.bytes;
}

/* A handle after the file system's id, and with some a name that ends with a zero. */
static bool take_file(const uint8_t *at, const uint8_t *end, struct file_id *id, const char **name)
{
	if ((size_t)(end - at) < sizeof(__kernel_fsid_t))
		return false;
	at = take_handle(at + sizeof(__kernel_fsid_t), end, id);
	if (!at || !name)
		return at;
	if (!memchr(at, 0, end - at))
		return false;
	*name = (const char *)at;
	return true;
}

static bool take_pidfd(const uint8_t *at, const uint8_t *end, int *out)
{
	int32_t fd;

	if ((size_t)(end - at) < sizeof fd)
		return false;
	memcpy(&fd, at, sizeof fd);
	*out = fd >= 0 ? fd : -1;
	return true;
}

static bool take_info(uint8_t type, const uint8_t *at, const uint8_t *end,
	struct fanotify_record *record)
{
	switch (type) {
	case FAN_EVENT_INFO_TYPE_FID:
		return take_file(at, end, &record->file, NULL);
	case FAN_EVENT_INFO_TYPE_DFID_NAME:
	case FAN_EVENT_INFO_TYPE_OLD_DFID_NAME:
		return take_file(at, end, &record->directory, &record->name);
	case FAN_EVENT_INFO_TYPE_NEW_DFID_NAME:
		return take_file(at, end, &record->new_directory, &record->new_name);
	case FAN_EVENT_INFO_TYPE_PIDFD:
		return take_pidfd(at, end, &record->pidfd);
	default:
		return true;
	}
}

static bool take_infos(const uint8_t *at, const uint8_t *end, struct fanotify_record *record)
{
	struct fanotify_event_info_header head;

	for (; at < end; at += head.len) {
		if ((size_t)(end - at) < sizeof head)
			return false;
		memcpy(&head, at, sizeof head);
		if (head.len < sizeof head || head.len > end - at ||
			!take_info(head.info_type, at + sizeof head, at + head.len, record))
			return false;
	}
	return true;
}

int fanotify_records_parse(const uint8_t *bytes, size_t n,
	void (*visit)(const struct fanotify_record *record, void *data), void *data)
{
	struct fanotify_event_metadata head;

	for (size_t at = 0; at < n; at += head.event_len) {
		struct fanotify_record record = { .pidfd = -1 };

		if (n - at < sizeof head)
			return -EPROTO;
		memcpy(&head, bytes + at, sizeof head);
		if (head.vers != FANOTIFY_METADATA_VERSION || head.metadata_len < sizeof head ||
			head.event_len < head.metadata_len || head.event_len > n - at)
			return -EPROTO;
		record.mask = head.mask;
		record.pid = head.pid;
		if (!take_infos(bytes + at + head.metadata_len, bytes + at + head.event_len,
			    &record))
			return -EPROTO;
		visit(&record, data);
	}
	return 0;
}

bool file_id_inode(const struct file_id *id, uint64_t *out)
{
	uint32_t words[3];

	if (!id->bytes || id->type != TMPFS_HANDLE_TYPE || id->n != TMPFS_HANDLE_BYTES)
		return false;
	memcpy(words, id->bytes, sizeof words);
	*out = words[1] | (uint64_t)words[2] << 32;
	return true;
}

bool file_id_equal(const struct file_id *a, const struct file_id *b)
{
	return a->bytes && b->bytes && a->type == b->type && a->n == b->n &&
		memcmp(a->bytes, b->bytes, a->n) == 0;
}
