"""How labels, boxes and masks from several sources become one."""
