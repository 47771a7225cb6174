/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Extended attributes, ACLs among them: the calls are made on the object, and tmpfs decides what it
 * allows.
 */
#include "ops/ops.h"

#include "base/fdpath.h"
#include "caller/effective.h"
#include "daemon/permit.h"
#include "node/handle.h"
#include "serve/defer.h"
#include "serve/reply.h"
#include "tree/data.h"
#include "tree/tree.h"

#include <linux/limits.h>
#include <linux/xattr.h>
#include <string.h>
#include <sys/xattr.h>

/*
 * Gets the node's file; -EOPNOTSUPP unless it is a file of a tmpfs, which alone has such
 * attributes.
 */
static int pin_for_xattr(fuse_req_t req, fuse_ino_t ino, struct node **node, struct file_ref *ref)
{
	struct fs *fs = fs_of(req);

	*node = node_from_id(fs->nodes, ino);
	if ((*node)->type == NODE_TREE || (is_data(*node) && !(*node)->data->has_xattrs))
		return -EOPNOTSUPP;
	return file_ref_get(fs, *node, ref);
}

static int ref_to_change_xattr(fuse_req_t req, fuse_ino_t ino, struct node **node,
	struct file_ref *ref)
{
	return is_foreign_data(node_from_id(fs_of(req)->nodes, ino)) ?
		-EROFS :
		pin_for_xattr(req, ino, node, ref);
}

/* A change of one attribute: `value` NULL removes it. */
struct change {
	const char *name, *value;
	size_t size;
	int flags; /* of setxattr(2) */
};

static int change_xattr(const char *path, const struct change *change)
{
	int r = change->value ?
		setxattr(path, change->name, change->value, change->size, change->flags) :
		removexattr(path, change->name);

	return r < 0 ? -errno : 0;
}

/* Whether it removes the file's capabilities in a way that the kernel has not checked. */
static bool strips(const struct fs *fs, const struct change *change)
{
	return !fs->kernel_permits && !change->value && strcmp(change->name, XATTR_NAME_CAPS) == 0;
}

/*
 * Before a write, a truncation or a change of owner the kernel removes a program's capabilities, and for that asks
 * nobody: it takes the call for permitted by then, which without its own check it is not.
 */
static int permit_to_strip(fuse_req_t req, const struct node *node, int fd)
{
	const struct caller caller = identity_caller(req);
	struct ownership owner;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	owner = (struct ownership){ st.st_mode, st.st_uid, st.st_gid };
	return fsuid_may_strip(&caller, &owner) || op_can_write(req, node, fd) ? 0 : -EPERM;
}

static void change_and_reply(fuse_req_t req, fuse_ino_t ino, const struct change *change)
{
	struct fsuid id = { 0 };
	struct node *node;
	struct file_ref ref;
	int r = ref_to_change_xattr(req, ino, &node, &ref);

	if (r < 0) {
		reply_result(req, r);
		return;
	}
	r = strips(fs_of(req), change) ? permit_to_strip(req, node, ref.fd) : 0;
	if (r == 0)
		r = permit_begin(fs_of(req), &id, req, ref.fd);
	if (r == 0) {
		/* Changing or removing an ACL clears set-group-ID if the caller is not in the group. */
		fsuid_take_groups(&id);
		r = change_xattr(fd_path(ref.fd).text, change);
	}
	fsuid_end(&id);
	file_ref_put(fs_of(req), node, &ref);
	reply_result(req, r);
}

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
	int flags)
{
	/* libfuse points at the end of the request if the value is empty: never NULL. */
	const struct change change = { name, value, size, flags };

	change_and_reply(req, ino, &change);
}

static void strip_now(struct fs *fs, struct deferred *d)
{
	const struct change change = { .name = XATTR_NAME_CAPS };

	change_and_reply(d->req, node_id(fs->nodes, d->node), &change);
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	const struct change change = { .name = name };
	struct fs *fs = fs_of(req);
	struct deferred d = { .req = req, .node = node_from_id(fs->nodes, ino) };

	if (strips(fs, &change))
		defer_if(fs, true, &d, strip_now);
	else
		change_and_reply(req, ino, &change);
}

/* Replies with the value, or, if the caller gave a size of 0, with its length. */
static void reply_value(fuse_req_t req, const char *value, ssize_t length, size_t size)
{
	if (length < 0)
		reply_result(req, length);
	else if (size == 0)
		reply_xattr_size(req, length);
	else
		reply_buf(req, value, length);
}

/*
 * The kernel asks for security.capability before each truncation; by descriptor that takes half the
 * time.
 */
static ssize_t get_value(const struct file_ref *ref, const char *name, char *value, size_t size)
{
	ssize_t length = ref->file ? fgetxattr(ref->fd, name, value, size) :
				     getxattr(fd_path(ref->fd).text, name, value, size);

	return length < 0 ? -errno : length;
}

/* The kernel lets only who may read the file ask for attributes, but those of these name spaces. */
static bool needs_reading(const char *name)
{
	return !g_str_has_prefix(name, XATTR_SECURITY_PREFIX) &&
		!g_str_has_prefix(name, XATTR_SYSTEM_PREFIX) &&
		!g_str_has_prefix(name, XATTR_TRUSTED_PREFIX);
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	g_autofree char *value = g_try_malloc(MAX(size, 1));
	struct node *node;
	struct file_ref ref;
	ssize_t length = value ? pin_for_xattr(req, ino, &node, &ref) : -ENOMEM;

	/*
	 * The kernel reads ACLs to decide access, and would return any other error to the caller.
	 */
	if (length == -EOPNOTSUPP)
		length = -ENODATA;
	if (length == 0) {
		if (needs_reading(name))
			length = permit_file(fs_of(req), req, ref.fd, R_OK);
		if (length == 0)
			length = get_value(&ref, name, value, size);
		file_ref_put(fs_of(req), node, &ref);
	}
	reply_value(req, value, length, size);
}

/* Whether there are names under trusted., which only a privileged caller may see. */
static bool has_trusted(const char *names, ssize_t length)
{
	for (ssize_t at = 0; at < length; at += strlen(names + at) + 1)
		if (g_str_has_prefix(names + at, "trusted."))
			return true;
	return false;
}

static ssize_t list_as_caller(fuse_req_t req, int fd, char *names, size_t size)
{
	const struct caller caller = identity_caller(req);
	struct effective ids;
	ssize_t length = effective_begin(&ids, &caller);

	if (length < 0)
		return length;
	length = listxattr(fd_path(fd).text, names, size);
	if (length < 0)
		length = -errno;
	effective_end(&ids);
	return length;
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	g_autofree char *names = g_try_malloc(XATTR_LIST_MAX);
	struct node *node;
	struct file_ref ref;
	ssize_t length = names ? pin_for_xattr(req, ino, &node, &ref) : -ENOMEM;

	if (length == 0) {
		length = listxattr(fd_path(ref.fd).text, names, XATTR_LIST_MAX);
		if (length < 0)
			length = -errno;
		if (has_trusted(names, length))
			length = list_as_caller(req, ref.fd, names, XATTR_LIST_MAX);
		file_ref_put(fs_of(req), node, &ref);
	}
	if (size > 0 && length > (ssize_t)size)
		length = -ERANGE;
	reply_value(req, names, length, size);
}
